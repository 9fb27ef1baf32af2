"""Records of requests to forget: write, chain, verify and sign them. Nothing here imports torch.

A record says what was requested, done and measured, and shows that neither it nor the model has changed since. It is
evidence of a procedure, not a legal finding.
"""

from untrain.records.commitment import commit as commit
from untrain.records.commitment import held as held
from untrain.records.commitment import new_key as new_key
from untrain.records.commitment import read_key as read_key
from untrain.records.commitment import write_key as write_key
from untrain.records.directory import Chain as Chain
from untrain.records.directory import read_chain as read_chain
from untrain.records.directory import write_record as write_record
from untrain.records.record import Applied as Applied
from untrain.records.record import Audit as Audit
from untrain.records.record import Copies as Copies
from untrain.records.record import FileDigest as FileDigest
from untrain.records.record import Ground as Ground
from untrain.records.record import Membership as Membership
from untrain.records.record import MemoryLeft as MemoryLeft
from untrain.records.record import MethodMemoryLeft as MethodMemoryLeft
from untrain.records.record import Models as Models
from untrain.records.record import Outcome as Outcome
from untrain.records.record import Preparation as Preparation
from untrain.records.record import Previous as Previous
from untrain.records.record import Record as Record
from untrain.records.record import Requested as Requested
from untrain.records.record import Unchanged as Unchanged
from untrain.records.record import Utility as Utility
from untrain.records.record import Verdict as Verdict
from untrain.records.record import now as now
from untrain.records.serialization import read_record as read_record
from untrain.records.serialization import sha256_of_file as sha256_of_file
from untrain.records.serialization import state_digest as state_digest
from untrain.records.sign import sign as sign
from untrain.records.verify import Check as Check
from untrain.records.verify import Verification as Verification
from untrain.records.verify import verify as verify
