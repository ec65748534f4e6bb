"""Decisions over draws of real predictions: guarantees, their price, and gains of class weights."""
