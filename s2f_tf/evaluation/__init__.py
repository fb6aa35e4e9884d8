"""What a trained model can do, in numbers and in pictures."""
