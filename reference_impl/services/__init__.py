"""What the server does for its users: sign in, talk, be reached. No web framework, no Redis, no SQL."""
