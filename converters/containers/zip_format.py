"""The structures of the zip format, as APPNOTE.TXT 6.3.10 of PKWARE has them."""

from __future__ import annotations

import struct
from typing import Final

LOCAL: Final = struct.Struct("<4s5H3I2H")
CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
END: Final = struct.Struct("<4s4H2IH")
END64: Final = struct.Struct("<4sQ2H2I4Q")
LOCATOR64: Final = struct.Struct("<4sIQI")
DESCRIPTOR: Final = struct.Struct("<4sIII")
DESCRIPTOR64: Final = struct.Struct("<4sIQQ")
LOCAL_MAGIC: Final = b"PK\x03\x04"
CENTRAL_MAGIC: Final = b"PK\x01\x02"
END_MAGIC: Final = b"PK\x05\x06"
END64_MAGIC: Final = b"PK\x06\x06"
LOCATOR64_MAGIC: Final = b"PK\x06\x07"
DESCRIPTOR_MAGIC: Final = b"PK\x07\x08"
ZIP64_EXTRA: Final = 1
VERSION_ZIP64: Final = 45
"""What a reader needs for zip64 (4.5): the most that a stored record can ask for."""
MAX16: Final = 0xFFFF
MAX32: Final = 0xFFFFFFFF
FLAG_ENCRYPTED: Final = 0x1
FLAG_DESCRIPTOR: Final = 0x8
FLAG_UTF8: Final = 0x800
EXTRA: Final = struct.Struct("<2H")
