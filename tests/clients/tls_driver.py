"""FTP over TLS with Python's ftplib, well-behaved and otherwise.

    tls_driver.py HOST PORT USER PASSWORD DIRECTORY WHAT

WHAT is one of: reuse, no-reuse, truncated, alpn, clear. The exit code says whether it went as it should.
"""

import ftplib
import hashlib
import socket
import ssl
import sys

class Reusing(ftplib.FTP_TLS):
    """Resumes the session of the control connection on data connections."""

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        return conn, size

def connect(kind, host, port, user, password, version=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    ftp = kind(context=context, timeout=20)
    ftp.connect(host, int(port))
    ftp.login(user, password)
    ftp.prot_p()
    ftp.voidcmd("TYPE I")
    return ftp

def reuse(ftp, directory):
    content = bytes(range(256)) * 1000
    with open(f"{directory}/up", "wb") as file:
        file.write(content)
    for number in range(20):
        with open(f"{directory}/up", "rb") as file:
            ftp.storbinary(f"STOR reuse{number}", file)
        digest = hashlib.sha256()
        ftp.retrbinary(f"RETR reuse{number}", digest.update)
        assert digest.digest() == hashlib.sha256(content).digest()
    ftp.quit()

def no_reuse(ftp, directory):
    try:
        ftp.nlst()
    except (ssl.SSLError, ftplib.Error, OSError, EOFError):
        return
    sys.exit("a data connection that resumed nothing was served")

def truncated(ftp, directory):
    # At the beginning, in the first record, between records and in the middle of one.
    for length, part in [(0, b""), (1, b""), (16384, b""), (100000, b""), (100000, b"\x17\x03\x03\x40\x00half")]:
        conn = ftp.transfercmd("STOR truncated")
        conn.sendall(b"x" * length)
        # TCP's end without TLS's own.
        plain = socket.socket(fileno=conn.detach())
        plain.sendall(part)
        plain.shutdown(socket.SHUT_WR)
        try:
            reply = ftp.voidresp()
        except ftplib.error_temp as error:
            assert str(error).startswith("426"), error
        else:
            sys.exit(f"an upload cut after {length} bytes was answered {reply}")
        finally:
            plain.close()

def begun(host, port):
    plain = socket.create_connection((host, int(port)), 20)
    plain.recv(1000)
    plain.sendall(b"AUTH TLS\r\n")
    assert plain.recv(1000).startswith(b"234")
    return plain

def alpn(host, port):
    # ALPACA: a client of another protocol that was led here.
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        context = ssl._create_unverified_context()
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            context.wrap_socket(begun(host, port)).recv(1)
        except ssl.SSLError as error:
            assert "no application protocol" in str(error).lower().replace("_", " "), error
        else:
            sys.exit("a client of HTTP was taken")

def clear(host, port):
    # Behind the 234 there is no clear text any more.
    plain = begun(host, port)
    plain.sendall(b"USER ann\r\nPASS secret\r\n")
    said = b""
    try:
        while more := plain.recv(1000):
            said += more
    except ConnectionResetError:
        pass
    assert b"331" not in said and b"230" not in said, said

host, port, user, password, directory, what = sys.argv[1:]
if what in ("alpn", "clear"):
    {"alpn": alpn, "clear": clear}[what](host, port)
    sys.exit(0)
kind = ftplib.FTP_TLS if what == "no-reuse" else Reusing
work = {"reuse": reuse, "no-reuse": no_reuse, "truncated": truncated}[what]
versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3] if what == "truncated" else [None]
for version in versions:
    work(connect(kind, host, port, user, password, version), directory)
