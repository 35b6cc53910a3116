"""Pictures of what was reconstructed and how well."""
