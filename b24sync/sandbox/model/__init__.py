"""The state of the portal: types and their fields, items, dictionaries, users, processes, history."""
