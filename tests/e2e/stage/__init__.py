"""What the tests against the real LiveKit stand on: its programs, SIPp as the callee, and a bare
client of its API."""
