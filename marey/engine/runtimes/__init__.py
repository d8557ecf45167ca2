"""What a trained model runs on: forms of it that give the same scores, faster."""
