"""metrics: reports and plots."""
