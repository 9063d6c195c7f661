"""AWS and Azure: objects in buckets, secrets, logs and metrics; libraries imported when used."""
