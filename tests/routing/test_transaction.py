import json
import logging
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from routing.errors import FateUnknown, Rejected, RoutingError, Unavailable
from routing.spl import MEMO_PROGRAM_ID
from routing.transaction import SignedTransaction, build_swap, create_signer, load_signer, parse

PROGRAM = Pubkey.from_bytes(bytes([9] * 32))
BLOCKHASH = str(Hash(bytes([5] * 32)))
ORDER = "0199c0de-0000-7000-8000-000000000001"


def an_instruction(owner: Pubkey, data: bytes = b"swap") -> Instruction:
    pool = AccountMeta(Pubkey.from_bytes(bytes([7] * 32)), is_signer=False, is_writable=True)
    return Instruction(PROGRAM, data, [AccountMeta(owner, is_signer=True, is_writable=True), pool])


def a_transaction(signer: Keypair, memo: str = f"{ORDER}:1") -> SignedTransaction:
    instruction = an_instruction(signer.pubkey())
    return build_swap(instruction, memo=memo, blockhash=BLOCKHASH, signer=signer)


def signed(instructions: list[Instruction], *signers: Keypair) -> bytes:
    message = MessageV0.try_compile(
        signers[0].pubkey(), instructions, [], Hash.from_string(BLOCKHASH)
    )
    return bytes(VersionedTransaction(message, list(signers)))


def memo_instruction(data: bytes = b"memo") -> Instruction:
    return Instruction(MEMO_PROGRAM_ID, data, [])


def test_a_transaction_reads_back_as_it_was_built(signer: Keypair) -> None:
    transaction = a_transaction(signer)

    parsed = parse(transaction.raw)

    assert parsed.signature == transaction.signature
    assert parsed.signer == str(signer.pubkey())
    assert parsed.blockhash == BLOCKHASH
    assert parsed.memo == f"{ORDER}:1"
    assert parsed.instruction == an_instruction(signer.pubkey())


def test_building_twice_gives_the_same_bytes_and_another_memo_another_signature(
    signer: Keypair,
) -> None:
    assert a_transaction(signer) == a_transaction(signer)
    assert a_transaction(signer).signature != a_transaction(signer, f"{ORDER}:2").signature


def test_a_change_of_any_byte_is_refused(signer: Keypair) -> None:
    raw = a_transaction(signer).raw

    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises(Rejected):
            parse(bytes(changed))


@pytest.mark.parametrize("raw", [b"", b"abc", bytes(1_232), b"\xff" * 200])
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    with pytest.raises(Rejected) as refusal:
        parse(raw)

    assert refusal.value.code == "MALFORMED_TRANSACTION"


def test_truncated_and_padded_transactions_are_refused(signer: Keypair) -> None:
    raw = a_transaction(signer).raw

    for changed in (raw[:-1], raw + b"\0"):
        with pytest.raises(Rejected) as refusal:
            parse(changed)
        assert refusal.value.code == "MALFORMED_TRANSACTION"


def test_a_foreign_signature_is_refused(signer: Keypair) -> None:
    transaction = VersionedTransaction.from_bytes(a_transaction(signer).raw)
    forged = VersionedTransaction.populate(
        transaction.message, [Keypair.from_seed(bytes(32)).sign_message(b"something else")]
    )

    with pytest.raises(Rejected) as refusal:
        parse(bytes(forged))

    assert refusal.value.code == "BAD_SIGNATURE"


def test_anything_but_one_swap_and_one_memo_is_refused(signer: Keypair) -> None:
    other = Keypair.from_seed(bytes([3] * 32))
    swap = an_instruction(signer.pubkey())
    bad = [
        signed([swap], signer),
        signed([memo_instruction()], signer),
        signed([swap, swap, memo_instruction()], signer),
        signed([swap, memo_instruction(), memo_instruction(b"again")], signer),
        signed([swap, memo_instruction(b"\xff\xfe")], signer),
        signed([swap, an_instruction(other.pubkey()), memo_instruction()], signer, other),
    ]

    for raw in bad:
        with pytest.raises(Rejected) as refusal:
            parse(raw)
        assert refusal.value.code == "MALFORMED_TRANSACTION"


def test_a_transaction_beyond_a_packet_is_refused(signer: Keypair) -> None:
    with pytest.raises(Rejected) as refusal:
        a_transaction(signer, "x" * 1_232)

    assert refusal.value.code == "TRANSACTION_TOO_LARGE"


def test_signed_bytes_do_not_show_in_a_repr(signer: Keypair) -> None:
    transaction = a_transaction(signer)

    assert repr(transaction) == f"SignedTransaction(signature={transaction.signature!r})"


def test_a_signer_is_read_from_a_file_or_from_base58(tmp_path: Path, signer: Keypair) -> None:
    file = tmp_path / "id.json"
    file.write_text(json.dumps(list(bytes(signer))))

    for given in (str(file), str(signer)):
        assert load_signer(given, fallback=tmp_path / "unused") == signer
    assert not (tmp_path / "unused").exists()


def test_a_signer_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "signer.json"

    first = load_signer(None, fallback=path)

    assert load_signer("", fallback=path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signer.json"]


def test_processes_that_race_to_make_a_signer_agree_on_one(tmp_path: Path) -> None:
    start = Barrier(8)

    def make() -> Keypair:
        start.wait()
        return create_signer(tmp_path / "signer.json")

    with ThreadPoolExecutor(8) as pool:
        made = [future.result() for future in [pool.submit(make) for _ in range(8)]]

    assert len({str(keypair.pubkey()) for keypair in made}) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["signer.json"]


def test_a_broken_signer_is_refused_without_repeating_it(
    tmp_path: Path, signer: Keypair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = str(signer)
    numbers = list(bytes(signer))
    contents = ["", "{}", "[1, 2]", json.dumps(numbers[:-1]), json.dumps([*numbers[:-1], 256])]
    # The public half no longer fits the secret one.
    contents.append(json.dumps([*numbers[:-1], numbers[-1] ^ 1]))
    given = [secret[:-2], secret + "x", "no/such/file", json.dumps(numbers)]
    for n, content in enumerate(contents):
        file = tmp_path / f"{n}.json"
        file.write_text(content)
        given.append(str(file))

    for keypair in given:
        with pytest.raises(ValueError, match="keypair") as refusal:
            load_signer(keypair, fallback=tmp_path / "unused")
        said = repr(refusal.value) + caplog.text
        assert secret[:20] not in said
        assert str(numbers)[1:60] not in said


@pytest.mark.parametrize(
    ("kind", "retryable"), [(Unavailable, True), (Rejected, False), (FateUnknown, False)]
)
def test_an_error_keeps_its_code_and_sentence_through_pickle(
    kind: type[RoutingError], retryable: bool
) -> None:
    error = pickle.loads(pickle.dumps(kind("SOME_CODE", "a sentence")))

    assert type(error) is kind
    assert (error.code, str(error), error.retryable) == ("SOME_CODE", "a sentence", retryable)
