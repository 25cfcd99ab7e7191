"""What the chaos tests are made of: load, faults, a connection cutter, and the reckoning."""
