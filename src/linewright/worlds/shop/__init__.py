"""The world `shop`: customers who are shown lists."""
