"""Speed and memory: every figure is a ratio of times taken in one run."""
