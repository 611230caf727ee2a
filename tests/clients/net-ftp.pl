# Perl's Net::FTP, one operation per run: see README.md for the command line that all drivers share.

use strict;
use warnings;
use Net::FTP;

my ($host, $port, $user, $password, $mode, $op, @args) = @ARGV;
my $unsupported = 64;

exit $unsupported unless $mode =~ /^(?:default|pasv|epsv|port|eprt)$/;
# Net::FTP takes PASV and PORT on IPv4, EPSV and EPRT on IPv6.
exit $unsupported if $mode =~ /^(?:epsv|eprt)$/ && $host !~ /:/;
exit $unsupported if $mode =~ /^(?:pasv|port)$/ && $host =~ /:/;

my $passive = $mode !~ /^(?:port|eprt)$/;
my $ftp = Net::FTP->new($host, Port => $port, Timeout => 30, Passive => $passive, Debug => $ENV{DEBUG} // 0)
    or fail("connect: $@");
sub fail { print STDERR "net-ftp: $_[0]\n"; exit 1 }
sub done { $_[0] or fail($ftp->code . ' ' . $ftp->message) }

done($ftp->login($user, $password));
done($ftp->binary);
my %operations = (
    list => sub { my $lines = $ftp->dir($args[0]); done($lines); print "$_\n" for @$lines },
    nlst => sub { my $lines = $ftp->ls($args[0]); done($lines); print "$_\n" for @$lines },
    get => sub { done($ftp->get($args[0], $args[1])) },
    'resume-get' => sub { done($ftp->get($args[0], $args[1], -s $args[1])) },
    put => sub { done($ftp->put($args[0], $args[1])) },
    'resume-put' => sub {
        my $size = $ftp->size($args[1]);
        done(defined $size);
        open my $file, '<:raw', $args[0] or fail($!);
        seek $file, $size, 0;
        $ftp->restart($size);
        done($ftp->put($file, $args[1]));
    },
    append => sub { done($ftp->append($args[0], $args[1])) },
    mkdir => sub { my $path = $ftp->mkdir($args[0]); done($path); print "$path\n" },
    rmdir => sub { done($ftp->rmdir($args[0])) },
    rename => sub { done($ftp->rename($args[0], $args[1])) },
    delete => sub { done($ftp->delete($args[0])) },
    size => sub { my $size = $ftp->size($args[0]); done(defined $size); print "$size\n" },
    mdtm => sub { my $time = $ftp->mdtm($args[0]); done(defined $time); print "$time\n" },
    'ascii-get' => sub { done($ftp->ascii); done($ftp->get($args[0], $args[1])) },
    'ascii-put' => sub { done($ftp->ascii); done($ftp->put($args[0], $args[1])) },
    unique => sub { my $name = $ftp->put_unique($args[0]); done($name); print "$name\n" },
    rmtree => sub { done($ftp->rmdir($args[0], 1)) },
    abort => sub {
        my $data = $ftp->retr($args[0]);
        done($data);
        $data->read(my $some, 1000);
        $data->abort;
        done($ftp->quot('NOOP') == 2);
        done($ftp->get($args[0], '/dev/null'));
        print $ftp->size($args[0]), "\n";
    },
);
exit $unsupported unless $operations{$op};
$operations{$op}->();
$ftp->quit;
