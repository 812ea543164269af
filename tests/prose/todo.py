TODO: list[str] = []
