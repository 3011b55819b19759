"""Names of currencies as portals in Russian, English and Portuguese write them into exports -> codes.

A portal's own list is crm.currency.list (crm/currency/crm-currency-list.md); its names may be edited there.
"""

from __future__ import annotations

from collections.abc import Mapping

_BY_CODE: Mapping[str, str] = {
    "RUB": "рубль|рубли|российский рубль|russian ruble|russian rouble|ruble|rouble|rublo russo",
    "USD": "доллар|доллар сша|доллары сша|us dollar|u.s. dollar|dollar|dólar|dólar americano|dólar dos eua",
    "EUR": "евро|euro|euros",
    "UAH": "гривна|гривны|украинская гривна|hryvnia|ukrainian hryvnia|ukraine hryvnia|grívnia",
    "BYN": "белорусский рубль|белорусские рубли|belarusian ruble|belarusian rouble|rublo bielorrusso",
    "KZT": "тенге|казахстанский тенге|казахский тенге|tenge|kazakhstani tenge|kazakh tenge",
    "BRL": "бразильский реал|реал|brazilian real|real|real brasileiro|reais",
    "GBP": "фунт|фунт стерлингов|английский фунт|pound|pound sterling|british pound|libra|libra esterlina",
    "CNY": "юань|китайский юань|yuan|chinese yuan|renminbi|yuan chinês",
    "PLN": "злотый|польский злотый|zloty|polish zloty|zloty polonês",
    "CHF": "швейцарский франк|swiss franc|franco suíço",
    "JPY": "иена|йена|японская иена|японская йена|yen|japanese yen|iene",
    "TRY": "турецкая лира|turkish lira|lira turca",
    "INR": "индийская рупия|рупия|indian rupee|rupia indiana",
    "AED": "дирхам оаэ|дирхам|uae dirham|united arab emirates dirham|dirham",
    "UZS": "узбекский сум|сум|uzbekistani som|uzbekistan sum",
    "KGS": "киргизский сом|сом|kyrgyzstani som|som",
    "AMD": "армянский драм|драм|armenian dram",
    "GEL": "грузинский лари|лари|georgian lari|lari",
    "AZN": "азербайджанский манат|манат|azerbaijani manat",
    "MDL": "молдавский лей|moldovan leu",
    "CAD": "канадский доллар|canadian dollar|dólar canadense",
    "AUD": "австралийский доллар|australian dollar|dólar australiano",
    "MXN": "мексиканское песо|mexican peso|peso mexicano",
    "ARS": "аргентинское песо|argentine peso|peso argentino",
    "CZK": "чешская крона|czech koruna|coroa checa",
}

CURRENCY_NAMES: Mapping[str, str] = {name: code for code, names in _BY_CODE.items() for name in names.split("|")}
