"""The contract spoken: the hosted service."""
