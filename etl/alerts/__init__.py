"""E-mails and Slack messages: texts, throttling, delivery."""
