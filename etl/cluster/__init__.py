"""Past one machine: what processes on other machines stage, and the engine that starts them."""
