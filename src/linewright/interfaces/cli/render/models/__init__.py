"""What people read of the results of commands of this kind."""
