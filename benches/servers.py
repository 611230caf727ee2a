"""Starts the servers that are measured, each with its fastest settings: log, reverse DNS, sandbox and
delays off, sendfile on, limits raised, the cheapest hash of passwords or none.

A peer is looked for below target/peers, or $TWOPORT_PEERS, where tests/peers/install puts it, and on
PATH; libunftp is a library, and its smallest server is built from libunftp/ here by `./bench`. So are the
floors, the least servers that there can be, from floor/.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS_DIR = Path(os.environ.get('TWOPORT_PEERS') or ROOT / 'target/peers')
LOW, HIGH = 22200, 22999  # passive ports
NOBODY = 'nobody'
HOMELY = 'daemon'  # vsftpd wants a home that exists
ANYBODY = ('anonymous', 'bench@example.com')
BENCH = ('bench', 'bench')


def find(name, program):
    """The program of a peer, unpacked or installed."""
    unpacked = [PEERS_DIR / name / place / program for place in ('usr/sbin', 'usr/bin', 'sbin', 'bin')]
    for path in unpacked:
        if path.exists():
            return str(path)
    found = shutil.which(program, path=os.environ.get('PATH', '') + ':/usr/local/sbin:/usr/sbin')
    if not found:
        raise RuntimeError(f'{program} is not installed: tests/peers/install')
    return found


def libraries(name):
    """Where an unpacked peer has its libraries."""
    base = PEERS_DIR / name
    places = {str(path.parent) for path in base.glob('**/*.so*')} if base.exists() else set()
    return {'LD_LIBRARY_PATH': ':'.join(sorted(places))} if places else {}


def certificate(work):
    """A throw-away certificate for P-256."""
    cert, key = work / 'cert.pem', work / 'key.pem'
    if not cert.exists():
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
             '-keyout', key, '-out', cert, '-days', '30', '-subj', '/CN=localhost',
             '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], check=True, capture_output=True)
        (work / 'both.pem').write_bytes(key.read_bytes() + cert.read_bytes())
    return cert, key


def cheap_hash():
    made = subprocess.run(['openssl', 'passwd', '-1', '-salt', 'ab', 'bench'], capture_output=True, text=True)
    return made.stdout.strip()


class Group:
    """A control group, of version 1 or 2, that counts the CPU of a server and all its children."""

    def __init__(self, name):
        self.cpu = self.memory = None
        self.folders = []
        root = Path('/sys/fs/cgroup')
        try:
            if (root / 'cgroup.controllers').exists():
                self.cpu = self.memory = self.make(root / name)
            elif (root / 'cpuacct').exists():
                self.cpu = self.make(root / 'cpuacct' / name)
                self.memory = self.make(root / 'memory' / name)
        except OSError:
            self.cpu = self.memory = None

    def make(self, path):
        path.mkdir(exist_ok=True)
        self.folders.append(path)
        return path

    def enter(self):
        for folder in self.folders:
            (folder / 'cgroup.procs').write_text(str(os.getpid()))

    def limit(self, most):
        """Bounds the memory of what is in it, the page cache of its files included."""
        name = 'memory.max' if (self.memory / 'memory.max').exists() else 'memory.limit_in_bytes'
        (self.memory / name).write_text(str(most))

    def members(self):
        return [int(p) for p in (self.folders[0] / 'cgroup.procs').read_text().split()] if self.folders else []

    def remove(self):
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


class Server:
    """A server that runs until `stop`."""

    def __init__(self, name, port, launched, log):
        command, self.user = launched[:2]
        environment = dict(os.environ, **(launched[2] if len(launched) > 2 else {}))
        self.name, self.port = name, port
        self.group = Group(f'bench-{os.getpid()}-{name}-{port}')

        def before():
            os.setsid()
            self.group.enter()

        out = open(log, 'ab')
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        preexec_fn=before, env=environment)
        deadline = time.time() + 20
        while not self.greets():
            if time.time() > deadline or self.process.poll() is not None:
                self.stop()
                raise RuntimeError(f'{name} did not start: {Path(log).read_text()[-300:]}')
            time.sleep(0.1)

    def greets(self):
        try:
            with socket.create_connection(('127.0.0.1', self.port), 5) as s:
                s.settimeout(5)
                if s.recv(3) != b'220':
                    return False
                s.sendall(b'QUIT\r\n')
                s.recv(4096)
                return True
        except OSError:
            return False

    def arguments(self):
        """What the load generator needs to know of it."""
        known = ['--addr', f'127.0.0.1:{self.port}', '--user', self.user[0], '--pass', self.user[1],
                 '--pid', str(self.process.pid)]
        if self.group.cpu:
            known += ['--cg-cpu', str(self.group.cpu), '--cg-mem', str(self.group.memory)]
        return known

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for _ in range(20):
            left = self.group.members()
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
        self.group.remove()


def twoport(binary, user, *more):
    def launch(work, root, port, tls):
        account = ['--user', ':'.join(user)] if user == BENCH else ['--anonymous=read']
        command = [binary, 'serve', str(root), '--listen', f'127.0.0.1:{port}', *account,
                   '--passive-ports', f'{LOW}-{HIGH}', '--max-sessions', '30000', '--max-sessions-per-ip', '30000',
                   '--max-unauthenticated', '30000', '--max-unauthenticated-per-ip', '30000',
                   '--idle-timeout', '3600', '--log-level', 'warn', *more]
        if tls:
            cert, key = certificate(work)
            command += ['--tls', 'optional', '--certificate', str(cert), '--key', str(key)]
        return command, user
    return launch


def vsftpd(work, root, port, tls):
    cert, key = certificate(work)
    settings, empty = work / f'vsftpd-{port}.conf', work / 'empty'
    empty.mkdir(exist_ok=True)
    yes = ['listen', 'anonymous_enable', 'no_anon_password', 'write_enable', 'anon_upload_enable',
           'anon_mkdir_write_enable', 'anon_other_write_enable', 'allow_writeable_chroot', 'use_sendfile',
           'pasv_promiscuous', 'port_promiscuous']
    no = ['background', 'local_enable', 'xferlog_enable', 'dual_log_enable', 'log_ftp_protocol', 'syslog_enable',
          'isolate', 'isolate_network', 'seccomp_sandbox', 'setproctitle_enable', 'session_support',
          'connect_from_port_20', 'anon_world_readable_only', 'tcp_wrappers', 'lock_upload_files',
          'ls_recurse_enable', 'require_ssl_reuse', 'force_local_logins_ssl', 'force_local_data_ssl']
    lines = [f'{key}=YES' for key in yes] + [f'{key}=NO' for key in no] + [
        'listen_address=127.0.0.1', f'listen_port={port}', f'anon_root={root}', f'ftp_username={HOMELY}',
        f'nopriv_user={NOBODY}', f'secure_chroot_dir={empty}', f'pasv_min_port={LOW}', f'pasv_max_port={HIGH}',
        'max_clients=0', 'max_per_ip=0', 'idle_session_timeout=3600', 'data_connection_timeout=3600',
        'anon_umask=022']
    # One process for each session cannot be had together with TLS.
    lines += ['ssl_enable=YES', 'allow_anon_ssl=YES', 'ssl_tlsv1=YES', f'rsa_cert_file={cert}',
              f'rsa_private_key_file={key}', 'ssl_ciphers=HIGH'] if tls else ['one_process_model=YES']
    settings.write_text('\n'.join(lines) + '\n')
    return [find('vsftpd', 'vsftpd'), str(settings)], ANYBODY, libraries('vsftpd')


def pure(work, root, port, tls):
    certificate(work)
    passwords, database = work / 'pure.passwd', work / 'pure.pdb'
    if not database.exists():
        nobody = pwd.getpwnam(NOBODY)
        passwords.write_text(f'bench:{cheap_hash()}:{nobody.pw_uid}:{nobody.pw_gid}::{root}/./::::::::::::\n')
        subprocess.run([find('pure-ftpd', 'pure-pw'), 'mkdb', str(database), '-f', str(passwords)], check=True,
                       env=dict(os.environ, **libraries('pure-ftpd')))
    # Without a range of passive ports: it gives up where those of a range are all in TIME_WAIT.
    command = [find('pure-ftpd', 'pure-ftpd'), '-S', f'127.0.0.1,{port}', '-l', f'puredb:{database}', '-E', '-H',
               '-c', '30000', '-C', '30000', '-I', '60', '-L', '1000000:10', '-K', '-u', '1', '-0', '-f', 'none',
               '-w', '-g', str(work / f'pure-{port}.pid')]
    if tls:
        command += ['-Y', '1', '-2', str(work / 'both.pem')]
    return command, BENCH, libraries('pure-ftpd')


def proftpd(work, root, port, tls):
    cert, key = certificate(work)
    nobody = pwd.getpwnam(NOBODY)
    passwords, groups = work / 'proftpd.passwd', work / 'proftpd.group'
    passwords.write_text(f'bench:{cheap_hash()}:{nobody.pw_uid}:{nobody.pw_gid}::{root}:/bin/false\n')
    groups.write_text(f'nogroup:x:{nobody.pw_gid}:\n')
    passwords.chmod(0o600)
    groups.chmod(0o600)
    lines = [
        'ServerType standalone', 'ServerName bench', f'Port {port}', 'DefaultAddress 127.0.0.1',
        'SocketBindTight on', 'UseIPv6 off', 'User nobody', 'Group nogroup', 'MaxInstances none',
        'UseReverseDNS off', 'WtmpLog off', 'TransferLog none', 'SystemLog none', 'UseSendfile on',
        'AllowOverwrite on', 'AuthOrder mod_auth_file.c', f'AuthUserFile {passwords}', f'AuthGroupFile {groups}',
        'RequireValidShell off', 'ScoreboardFile none', 'DelayEngine off', f'PassivePorts {LOW} {HIGH}',
        'TimeoutIdle 3600', 'TimeoutNoTransfer 3600', 'DefaultRoot ~', f'PidFile {work}/proftpd-{port}.pid',
        'Umask 022', 'AllowForeignAddress on', 'TCPBacklog 255', 'MaxClients none', 'MaxConnectionRate 0',
        'DebugLevel 0']
    settings = work / f'proftpd-{port}.conf'
    settings.write_text('\n'.join(lines) + '\n')
    if tls:
        raise RuntimeError('proftpd is measured in clear only')
    return [find('proftpd', 'proftpd'), '-n', '-q', '-c', str(settings)], BENCH, libraries('proftpd')


def pyftpdlib(work, root, port, tls):
    cert, key = certificate(work)
    inside = PEERS_DIR / 'venv/bin/python'
    python = str(inside) if inside.exists() else sys.executable
    command = [python, str(HERE / 'pyftpd.py'), str(port), str(root), str(LOW), str(HIGH)]
    return command + ([str(cert), str(key)] if tls else []), BENCH


def libunftp(work, root, port, tls):
    program = HERE / 'libunftp/target/release/libunftp-smallest'
    if not program.exists():
        raise RuntimeError('libunftp is not built: ./bench does it')
    cert, key = certificate(work)
    command = [str(program), f'127.0.0.1:{port}', str(root), str(LOW), str(HIGH)]
    return command + ([str(cert), str(key)] if tls else []), ANYBODY


def floor(kind, store):
    def launch(work, root, port, tls):
        return [str(HERE / 'floor/target/release/floor'), kind, store, f'127.0.0.1:{port}', str(root)], ANYBODY
    return launch


PEERS = {'vsftpd': vsftpd, 'pure-ftpd': pure, 'proftpd': proftpd, 'pyftpdlib': pyftpdlib, 'libunftp': libunftp,
         'floor tokio': floor('tokio', 'into'), 'floor threads': floor('threads', 'into'),
         'floor tokio whole': floor('tokio', 'whole'), 'floor threads whole': floor('threads', 'whole')}
