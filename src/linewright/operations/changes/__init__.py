"""What decides what serves: promotions, halts, and changes that members propose and approve."""
