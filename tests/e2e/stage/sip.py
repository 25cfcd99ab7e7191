"""The callee: SIPp behind a UDP trunk on loopback. One process per behaviour, each on a port of its
own; what it got is read from its own message log, so that an INVITE counts even when no call came
of it."""
import collections
import itertools
import re
import subprocess
import time

from harness.wait import until

from .ports import CALLEES, MEDIA

_ports = itertools.count(CALLEES, 2)
_media = itertools.count(MEDIA, 4)

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE scenario SYSTEM "sipp.dtd">
<scenario name="{name}">
"""

# What the later requests and answers of a call have to repeat is kept from its INVITE.
INVITE = """<recv request="INVITE" rrs="true"><action>
<ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="cseq"/>
<ereg regexp=".*" search_in="hdr" header="Via:" assign_to="via"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/>
</action></recv>
<Reference variables="cseq,via,from,to"/>
"""

LAST = "[last_Via:]\n[last_From:]\n[last_To:]{tag}\n[last_Call-ID:]\n[last_CSeq:]\n"
TAG = ";tag=cal-[call_number]"
CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
SDP = """Content-Type: application/sdp
Content-Length: [len]

v=0
o=callee 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
"""
EMPTY = "Content-Length: 0\n\n"


def send(text, again=False):
    retrans = ' retrans="500"' if again else ""
    return f"<send{retrans}><![CDATA[\n{text}\n]]></send>\n"


def reply(status, tag=TAG, more=EMPTY, again=False):
    return send(f"SIP/2.0 {status}\n{LAST.format(tag=tag)}{more}", again)


def recv(request):
    return f'<recv request="{request}"/>\n'


def pause(ms):
    return f'<pause milliseconds="{ms}"/>\n' if ms else ""


RINGING = reply("180 Ringing", more=CONTACT + EMPTY)
ANSWER = reply("200 OK", more=CONTACT + SDP, again=True) + recv("ACK")
BYE = """BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From:[$to];tag=cal-[call_number]
To:[$from]
[last_Call-ID:]
CSeq: 1 BYE
Max-Forwards: 70
Content-Length: 0

"""
TERMINATED = """SIP/2.0 487 Request Terminated
Via:[$via]
From:[$from]
To:[$to];tag=cal-[call_number]
[last_Call-ID:]
CSeq:[$cseq]
Content-Length: 0

"""


def hangs_up(ring_ms=300, talk_ms=1500):
    return INVITE + RINGING + pause(ring_ms) + ANSWER + pause(talk_ms) + send(BYE, True) + '<recv response="200"/>\n'


def listens(ring_ms=300):
    return INVITE + RINGING + pause(ring_ms) + ANSWER + recv("BYE") + reply("200 OK", tag="")


def rejects(status, ring_ms=0):
    return INVITE + (RINGING + pause(ring_ms) if ring_ms else "") + reply(status, again=True) + recv("ACK")


def rings():
    return INVITE + RINGING + recv("CANCEL") + reply("200 OK") + send(TERMINATED, True) + recv("ACK")


def ignores():
    """Listens and never says a word."""
    return INVITE + pause(120000)


def challenges(rounds=8):
    """Asks for a password, and no password is right. Each round is one more INVITE of the call."""
    ask = 'Proxy-Authenticate: Digest realm="trunk", nonce="n{0}", algorithm=MD5\n'
    return "".join('<recv request="INVITE"/>\n' + reply("407 Proxy Authentication Required",
                   more=ask.format(n) + EMPTY, again=True) + recv("ACK") for n in range(rounds))


class Message(collections.namedtuple("Message", "at received first headers text")):
    @property
    def method(self):
        return "" if self.first.startswith("SIP/2.0") else self.first.split(" ", 1)[0]

    @property
    def status(self):
        return int(self.first.split(" ")[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def cseq(self):
        return self.headers.get("cseq", "")

    @property
    def call(self):
        return self.headers.get("call-id", "")

    @property
    def to(self):
        found = re.search(r"sips?:([^@;>]+)@", self.first)
        return found.group(1) if found else ""


CUT = re.compile(r"^-{20,} (\d{4}-\d\d-\d\d)[T\t ]+([\d:.]+).*$", re.M)


def parse(text):
    parts = CUT.split(text)
    for day, clock, body in zip(parts[1::3], parts[2::3], parts[3::3]):
        head, _, message = body.lstrip("\n").partition("\n\n")
        lines = message.replace("\r", "").partition("\n\n")[0].splitlines()
        if not lines or "message" not in head:
            continue
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        at = time.mktime(time.strptime(f"{day} {clock.split('.')[0]}", "%Y-%m-%d %H:%M:%S")) + float("0." + (clock.split(".") + ["0"])[1])
        yield Message(at, "received" in head, lines[0], headers, message)


class Callee:
    """One SIPp that treats every call the same way."""

    def __init__(self, folder, name, scenario):
        self.port, self.name = next(_ports), name
        self.folder = folder / f"{name}-{self.port}"
        self.folder.mkdir()
        (self.folder / "scenario.xml").write_text(HEAD.format(name=name) + scenario + "</scenario>\n")
        self.log = self.folder / "messages.log"
        self.process = None

    def start(self):
        with open(self.folder / "screen.log", "wb") as screen:
            self.process = subprocess.Popen(
                ["sipp", "-sf", "scenario.xml", "-i", "127.0.0.1", "-p", str(self.port), "-t", "u1", "-mi", "127.0.0.1",
                 "-mp", str(next(_media)), "-rtp_echo", "-nostdin", "-default_behaviors", "all,-bye",
                 "-trace_msg", "-message_file", str(self.log), "-trace_err", "-error_file", str(self.folder / "errors.log")],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=screen, stderr=screen, start_new_session=True)
        until(f"SIPp listens on {self.port}", self._listening, 10)
        return self

    def _listening(self):
        assert self.process.poll() is None, f"sipp ended: {(self.folder / 'screen.log').read_text(errors='replace')[-2000:]}"
        with open("/proc/net/udp") as table:
            return f":{self.port:04X} " in table.read()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def messages(self):
        return list(parse(self.log.read_text(errors="replace"))) if self.log.exists() else []

    def received(self, method, **headers):
        """Distinct requests with that method, retransmissions counted once (a request is its
        branch), whose headers have those values (X_Attempt="…" is X-Attempt)."""
        found = {}
        for one in self.messages():
            if one.received and one.method == method and all(
                    one.headers.get(name.replace("_", "-").lower()) == value for name, value in headers.items()):
                found.setdefault((one.call, one.cseq, one.headers.get("via")), one)
        return list(found.values())

    def calls(self, header):
        """{value of the header: how many dials} — a dial is a Call-ID."""
        dials = collections.defaultdict(set)
        for one in self.received("INVITE"):
            dials[one.headers.get(header.lower())].add(one.call)
        return {value: len(calls) for value, calls in dials.items()}

    def trunk(self, **members):
        """As an inline trunk."""
        return {"hostname": f"127.0.0.1:{self.port}", "transport": "SIP_TRANSPORT_UDP", **members}
