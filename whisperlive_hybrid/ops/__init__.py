"""Operations: device inventory, logging, access, limits, loop lag."""
