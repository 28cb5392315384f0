"""How fast and how small: each file is one table of docs/performance.md. `make bench` runs them."""
