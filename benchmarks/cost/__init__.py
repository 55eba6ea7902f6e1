"""What a part of jaxgan costs."""
