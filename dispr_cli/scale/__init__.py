"""One run shared out: over shards, processes, machines; the same bytes whoever does which."""
