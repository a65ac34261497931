"""What is right in each exercise, and the cases to try. Hidden from the code that is graded."""
