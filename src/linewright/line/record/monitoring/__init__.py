"""What the record says is wrong: alerts, refused candidates, clocks, disks, and numbers for Prometheus."""
