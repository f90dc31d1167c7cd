"""Pages about members, and what waits for them."""
