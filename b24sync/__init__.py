"""b24sync: deals, companies and contacts into Bitrix24."""
