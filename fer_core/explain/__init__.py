"""What a classifier looks at, and what it needs: saliency maps and occlusion. Loads without TensorFlow."""
