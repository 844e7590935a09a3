"""Real Solana transactions, built, signed and parsed with `solders`; and the key that signs them.

Secrets stay in a `Keypair`: nothing here logs one, prints one, or puts one into an error.
"""

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import SanitizeError, VersionedTransaction

from routing.errors import Rejected
from routing.spl import MEMO_PROGRAM_ID

MAX_TRANSACTION_BYTES: Final = 1_232  # PACKET_DATA_SIZE: what fits one IPv6 packet
_KEYPAIR_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Bytes ready to send. `signature` (base58) is the transaction's hash, known before it is sent."""

    signature: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParsedTransaction:
    """What signed bytes say, once the signature proved right. Addresses are base58."""

    signature: str
    signer: str
    blockhash: str
    memo: str
    instruction: Instruction


def load_signer(keypair: str | None, *, fallback: Path) -> Keypair:
    """The key that signs every swap.

    `keypair` is a path to a file as the Solana CLI writes it (a JSON array of 64 bytes), or the same
    64 bytes as a base58 string. None or "" means the key at `fallback`, made there once if missing.
    Raises `ValueError` with a sentence that doesn't repeat what was given.
    """
    if not keypair:
        return create_signer(fallback)
    try:
        return Keypair.from_base58_string(keypair)
    except ValueError:
        pass  # a path, then
    try:
        return read_signer(Path(keypair))
    except ValueError:
        # Not even the path: it might be a mistyped secret.
        sentence = "the signer's keypair is neither a keypair file nor a base58 keypair"
        raise ValueError(sentence) from None


def create_signer(path: Path) -> Keypair:
    """The key in the file at `path`, made first (mode 600) if there is none. Safe to race.

    The key is written in full beside its name and then linked to it, which fails if the name is taken:
    creating the file itself with O_EXCL would let the loser of the race read half a key.
    """
    if path.exists():
        return read_signer(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(list(bytes(Keypair())), file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
    finally:
        draft.unlink()
    return read_signer(path)


def read_signer(path: Path) -> Keypair:
    """The key in a file that must be there. Raises `ValueError` with a sentence that doesn't repeat what it holds."""
    try:
        numbers = json.loads(path.read_text())
        secret = bytes(numbers) if isinstance(numbers, list) else b""
        if len(secret) == _KEYPAIR_BYTES:
            return Keypair.from_bytes(secret)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (OSError, TypeError, ValueError):
        pass  # the sentence below says it, without what the file holds
    raise ValueError(f"{path} is not a Solana keypair file (a JSON array of 64 bytes)")


def build_swap(
    instruction: Instruction,
    *,
    memo: str,
    blockhash: str,
    signer: Keypair,
    payer: Pubkey | None = None,
) -> SignedTransaction:
    """One atomic transaction: the venue's instruction, and a memo that makes it like no other.

    The memo is `{orderId}:{attempt}`, signed by the same key. The same arguments give the same bytes. `payer` is the
    signer's address, for callers that know it: deriving it takes half as long as signing.
    Raises `Rejected` (`TRANSACTION_TOO_LARGE`) beyond Solana's 1,232 bytes.
    """
    payer = payer or signer.pubkey()
    note = Instruction(
        MEMO_PROGRAM_ID, memo.encode(), [AccountMeta(payer, is_signer=True, is_writable=False)]
    )
    message = MessageV0.try_compile(payer, [instruction, note], [], Hash.from_string(blockhash))
    # Signed here: the constructor that takes signers also verifies what it has just signed.
    signature = signer.sign_message(to_bytes_versioned(message))
    transaction = VersionedTransaction.populate(message, [signature])
    raw = bytes(transaction)
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise Rejected("TRANSACTION_TOO_LARGE", f"the transaction takes {len(raw)} bytes")
    return SignedTransaction(str(signature), raw)


def parse(raw: bytes) -> ParsedTransaction:
    """Read a transaction as `build_swap` writes it, and check its signature.

    Raises `Rejected`: `MALFORMED_TRANSACTION` for anything else, `BAD_SIGNATURE` for a wrong one.
    """
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        if bytes(transaction) != raw:
            raise _malformed("bytes follow it")
        transaction.sanitize()
    except (ValueError, SanitizeError):
        raise _malformed("the bytes are not a transaction") from None
    message = transaction.message
    if not isinstance(message, MessageV0) or message.address_table_lookups:
        raise _malformed("it is not a version 0 message without address tables")
    if len(transaction.signatures) != 1:
        raise _malformed("it needs exactly one signature")
    if transaction.verify_with_results() != [True]:
        raise Rejected("BAD_SIGNATURE", "the transaction's signature does not fit its bytes")
    instructions = [_instruction(message, compiled) for compiled in message.instructions]
    swaps = [each for each in instructions if each.program_id != MEMO_PROGRAM_ID]
    memos = [each for each in instructions if each.program_id == MEMO_PROGRAM_ID]
    if len(swaps) != 1 or len(memos) != 1:
        raise _malformed("it is not one swap and one memo")
    try:
        memo = memos[0].data.decode()
    except UnicodeDecodeError:
        raise _malformed("its memo is not UTF-8") from None
    return ParsedTransaction(
        signature=str(transaction.signatures[0]),
        signer=str(message.account_keys[0]),
        blockhash=str(message.recent_blockhash),
        memo=memo,
        instruction=swaps[0],
    )


def _instruction(message: MessageV0, compiled: CompiledInstruction) -> Instruction:
    keys: list[Pubkey] = message.account_keys
    accounts = [
        AccountMeta(
            keys[index],
            is_signer=message.is_signer(index),
            is_writable=message.is_maybe_writable(index),
        )
        for index in compiled.accounts
    ]
    return Instruction(keys[compiled.program_id_index], compiled.data, accounts)


def _malformed(why: str) -> Rejected:
    return Rejected(
        "MALFORMED_TRANSACTION", f"this is not a transaction that can be executed: {why}"
    )
