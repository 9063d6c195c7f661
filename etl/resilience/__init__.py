"""Retries with backoff, and the circuit breaker."""
