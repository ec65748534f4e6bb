"""How blocks of rows are worked through: engines, memory, outputs, journals."""
