"""The networks of the gateway's bench and what runs in them: a client, a router and a server, each in a
network namespace of its own, and the gateways that can stand in the router.

The server's side has no route back, so that a gateway must translate or relay. A program belongs to a
control group below that of the whole run, which counts what all three hosts need.
"""

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

import servers

ROUTER_LAN, CLIENT = '10.77.1.1', '10.77.1.2'
ROUTER_WAN = '10.77.2.1'
PLAIN, BEHIND_HAPROXY, SECURE = '10.77.2.2', '10.77.2.3', '10.77.2.4'
FEW_PORTS = (61000, 61009)  # haproxy listens on each of them
MASQUERADE = '''table ip wan {
  chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
'''
HELPER = '''table ip helped {
  ct helper ftp { type "ftp" protocol tcp; }
  chain in { type filter hook prerouting priority filter; tcp dport 21 ct helper set "ftp"; }
}
'''


def run(*command, text=None):
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(map(str, command))}: {done.stderr.strip()}')
    return done.stdout


class Networks:
    """client -- router -- server; gone after `close`."""

    def __init__(self):
        self.names = {host: f'gwbench-{os.getpid()}-{host}' for host in ('client', 'router', 'server')}

    def make(self):
        for name in self.names.values():
            run('ip', 'netns', 'add', name)
            run('ip', '-n', name, 'link', 'set', 'lo', 'up')
        self.link('client', 'eth0', [CLIENT], 'lan', ROUTER_LAN)
        self.link('server', 'eth0', [PLAIN, BEHIND_HAPROXY, SECURE], 'wan', ROUTER_WAN)
        run('ip', '-n', self.names['client'], 'route', 'add', 'default', 'via', ROUTER_LAN)
        self.set('router', 'net.ipv4.ip_forward', 1)
        run(*self.inside('router', 'nft', '-f', '-'), text=MASQUERADE)
        # Thousands of short connections a second would fill the kernel's table of them.
        for state in ('time_wait', 'close', 'last_ack', 'fin_wait'):
            self.set('router', f'net.netfilter.nf_conntrack_tcp_timeout_{state}', 1)
        for host in self.names:
            self.set(host, 'net.core.somaxconn', 4096)

    def link(self, host, end, addresses, router_end, router_address):
        router, other = self.names['router'], self.names[host]
        run('ip', '-n', router, 'link', 'add', router_end, 'type', 'veth', 'peer', 'name', end, 'netns', other)
        for name, device, given in ((router, router_end, [router_address]), (other, end, addresses)):
            for address in given:
                run('ip', '-n', name, 'address', 'add', f'{address}/24', 'dev', device)
            run('ip', '-n', name, 'link', 'set', device, 'up')

    def set(self, host, key, value):
        run(*self.inside(host, 'sysctl', '-q', '-w', f'{key}={value}'))

    def inside(self, host, *command):
        return ['nsenter', f'--net=/run/netns/{self.names[host]}', *map(str, command)]

    def rules(self, more=''):
        """Masquerading alone, and what a gateway of the kernel has more."""
        run(*self.inside('router', 'nft', '-f', '-'), text='flush ruleset\n' + MASQUERADE + more)

    def close(self):
        for name in self.names.values():
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


class Program:
    """A program in a host of the networks, with its children, until `stop`."""

    def __init__(self, command, group, log, environment=None):
        self.group, self.log = servers.Group(group), Path(log)

        def before():
            os.setsid()
            self.group.enter()

        with open(log, 'wb') as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            preexec_fn=before, env=dict(os.environ, **(environment or {})))

    def said(self, word):
        """Waits until it has written the word."""
        deadline = time.time() + 20
        while word not in self.log.read_text(errors='replace'):
            if time.time() > deadline or self.process.poll() is not None:
                raise RuntimeError(f'did not start: {self.log.read_text(errors="replace")[-500:]}')
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        for _ in range(50):
            left = self.group.members()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.1)
        self.process.wait()
        self.group.remove()


def vsftpd(work, root, address, ports, announced=None):
    settings, empty = work / f'vsftpd-{address}.conf', work / 'empty'
    empty.mkdir(exist_ok=True)
    yes = ['listen', 'anonymous_enable', 'no_anon_password', 'write_enable', 'anon_upload_enable',
           'anon_mkdir_write_enable', 'anon_other_write_enable', 'allow_writeable_chroot', 'use_sendfile',
           'pasv_promiscuous', 'port_promiscuous', 'one_process_model']
    no = ['background', 'local_enable', 'xferlog_enable', 'dual_log_enable', 'log_ftp_protocol', 'syslog_enable',
          'isolate', 'isolate_network', 'seccomp_sandbox', 'setproctitle_enable', 'session_support',
          'connect_from_port_20', 'anon_world_readable_only', 'tcp_wrappers', 'lock_upload_files']
    lines = [f'{key}=YES' for key in yes] + [f'{key}=NO' for key in no] + [
        f'listen_address={address}', f'anon_root={root}', f'ftp_username={servers.HOMELY}',
        f'nopriv_user={servers.NOBODY}', f'secure_chroot_dir={empty}', f'pasv_min_port={ports[0]}',
        f'pasv_max_port={ports[1]}', 'max_clients=0', 'max_per_ip=0', 'idle_session_timeout=3600',
        'data_connection_timeout=3600', 'anon_umask=022']
    if announced:
        lines.append(f'pasv_address={announced}')
    settings.write_text('\n'.join(lines) + '\n')
    return [servers.find('vsftpd', 'vsftpd'), settings], servers.libraries('vsftpd')


def pure(work, root, address):
    """Under TLS vsftpd passes each record through two processes, and would be what is measured."""
    command, _, environment = servers.pure(work, root, 21, True)
    return [f'{address},21' if word == '127.0.0.1,21' else word for word in command], environment


def seat_client(binary, work, tls):
    return [binary, 'gateway', '--seat', 'client', '--lan', 'lan'], {}


def seat_reverse(binary, work, tls):
    command = [binary, 'gateway', '--server', f'{SECURE if tls else PLAIN}:21', '--listen', f'{ROUTER_LAN}:21']
    if tls:
        cert, key = servers.certificate(work)
        command += ['--certificate', cert, '--key', key, '--upstream-no-verify', '--upstream-tls', 'required']
    return command, {}


def haproxy(binary, work, tls):
    settings = work / 'haproxy.cfg'
    settings.write_text('\n'.join([
        'global', '  nbthread 2', '  tune.pipesize 1048576', '  maxconn 2000',
        # With splice-auto it was seen to copy.
        'defaults', '  mode tcp', '  option splice-request', '  option splice-response', '  timeout connect 5s', '  timeout client 1h',
        '  timeout server 1h', 'frontend ftp', f'  bind {ROUTER_LAN}:21',
        f'  bind {ROUTER_LAN}:{FEW_PORTS[0]}-{FEW_PORTS[1]}', '  default_backend vsftpd',
        'backend vsftpd', f'  server vsftpd {BEHIND_HAPROXY}', '']))
    return [servers.find('haproxy', 'haproxy'), '-db', '-f', settings], servers.libraries('haproxy')


def mod_proxy(binary, work, tls):
    cert, key = servers.certificate(work)
    modules = next((place for place in (servers.PEERS_DIR / 'proftpd/usr/lib/proftpd', Path('/usr/lib/proftpd'))
                    if (place / 'mod_proxy.so').exists()), None)
    if not modules:
        raise RuntimeError('mod_proxy is not there: ./bench-gateway says how it is unpacked')
    tables, passwords = work / 'proxy-tables', work / 'proxy.passwd'
    tables.mkdir(exist_ok=True, mode=0o700)
    nobody = pwd.getpwnam(servers.NOBODY)
    os.chown(tables, nobody.pw_uid, nobody.pw_gid)
    passwords.write_text('')
    passwords.chmod(0o600)
    backend = SECURE if tls else PLAIN
    lines = [f'ModulePath {modules}', 'LoadModule mod_tls.c', 'LoadModule mod_proxy.c', 'ServerType standalone',
             'ServerName bench', f'DefaultAddress {ROUTER_LAN}', 'SocketBindTight on', 'UseIPv6 off', 'User nobody',
             'Group nogroup', 'MaxInstances none', 'UseReverseDNS off', 'WtmpLog off', 'TransferLog none',
             'SystemLog none', 'ScoreboardFile none', 'DelayEngine off', f'PidFile {work}/mod_proxy.pid',
             'AuthOrder mod_auth_file.c', f'AuthUserFile {passwords}', 'TimeoutIdle 3600', 'TimeoutNoTransfer 3600',
             'TCPBacklog 255', 'MaxClients none', 'MaxConnectionRate 0', 'DebugLevel 0', '<IfModule mod_proxy.c>',
             'ProxyEngine on', f'ProxyTables {tables}', 'ProxyRole reverse',
             f'ProxyReverseServers ftp://{backend}:21']
    lines += ['ProxyTLSEngine on', 'ProxyTLSVerifyServer off'] if tls else ['ProxyTLSEngine off']
    lines.append('</IfModule>')
    if tls:
        lines += ['TLSEngine on', f'TLSECCertificateFile {cert}', f'TLSECCertificateKeyFile {key}',
                  'TLSOptions NoSessionReuseRequired', 'TLSRequired off', 'TLSVerifyClient off']
    settings = work / 'mod_proxy.conf'
    settings.write_text('\n'.join(lines) + '\n')
    return [servers.find('proftpd', 'proftpd'), '-n', '-q', '-c', settings], servers.libraries('proftpd')
