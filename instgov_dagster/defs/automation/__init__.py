"""What runs by itself: jobs, the night's schedule, the sensors and what they tell."""
