import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.commons.net.ftp.FTP;
import org.apache.commons.net.ftp.FTPClient;
import org.apache.commons.net.ftp.FTPFile;
import org.apache.commons.net.ftp.FTPReply;
import org.apache.commons.net.ftp.FTPSClient;

/** Java's commons-net, one operation per run: see README.md for the command line that all drivers share. */
public final class CommonsNet {
    private static final int UNSUPPORTED = 64;
    private static FTPClient ftp;

    public static void main(String[] argv) throws Exception {
        String mode = argv[4];
        String[] args = java.util.Arrays.copyOfRange(argv, 6, argv.length);
        try {
            ftp = System.getenv("TWOPORT_TLS") == null ? new FTPClient() : secure();
            ftp.setControlEncoding("UTF-8");
            ftp.setConnectTimeout(30000);
            ftp.connect(argv[0], Integer.parseInt(argv[1]));
            done(FTPReply.isPositiveCompletion(ftp.getReplyCode()));
            done(ftp.login(argv[2], argv[3]));
            if (ftp instanceof FTPSClient tls) {
                tls.execPBSZ(0);
                tls.execPROT("P");
            }
            done(ftp.setFileType(FTP.BINARY_FILE_TYPE));
            boolean six = argv[0].contains(":");
            switch (mode) {
                case "default" -> ftp.enterLocalPassiveMode();
                case "epsv" -> { ftp.setUseEPSVwithIPv4(true); ftp.enterLocalPassiveMode(); }
                case "pasv" -> { if (six) System.exit(UNSUPPORTED); ftp.enterLocalPassiveMode(); }
                case "port" -> { if (six) System.exit(UNSUPPORTED); ftp.enterLocalActiveMode(); }
                case "eprt" -> { if (!six) System.exit(UNSUPPORTED); ftp.enterLocalActiveMode(); }
                default -> System.exit(UNSUPPORTED);
            }
            int code = operate(argv[5], args);
            ftp.logout();
            ftp.disconnect();
            System.exit(code);
        } catch (IOException error) {
            System.err.println("commons-net: " + error);
            System.exit(1);
        }
    }

    private static FTPSClient secure() throws Exception {
        CertificateFactory x509 = CertificateFactory.getInstance("X.509");
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (InputStream file = new FileInputStream(System.getenv("TWOPORT_TLS_CA"))) {
            trusted.setCertificateEntry("authority", x509.generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        KeyStore own = KeyStore.getInstance(KeyStore.getDefaultType());
        own.load(null, null);
        if (System.getenv("TWOPORT_TLS_CERTIFICATE") != null) {
            String pem = Files.readString(Path.of(System.getenv("TWOPORT_TLS_KEY")));
            byte[] der = Base64.getMimeDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", ""));
            try (InputStream file = new FileInputStream(System.getenv("TWOPORT_TLS_CERTIFICATE"))) {
                Certificate[] chain = { x509.generateCertificate(file) };
                own.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der)), new char[0], chain);
            }
        }
        keys.init(own, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        FTPSClient tls = new FTPSClient(System.getenv("TWOPORT_TLS").equals("implicit"), context);
        tls.setEnabledProtocols(new String[] { "TLSv" + System.getenv("TWOPORT_TLS_VERSION") });
        tls.setEndpointCheckingEnabled(true);
        return tls;
    }

    private static void done(boolean fine) throws IOException {
        if (!fine) {
            throw new IOException(ftp.getReplyString().trim());
        }
    }

    private static int operate(String op, String[] args) throws IOException {
        switch (op) {
            case "list" -> { for (FTPFile file : ftp.listFiles(args[0])) System.out.println(file.getName()); status(); }
            case "mlsd" -> { for (FTPFile file : ftp.mlistDir(args[0])) System.out.println(file.getName()); status(); }
            case "nlst" -> {
                String[] names = ftp.listNames(args[0]);
                done(names != null);
                for (String name : names) System.out.println(name);
            }
            case "get" -> get(args, false);
            case "row" -> {
                for (int number = 0; number < Integer.parseInt(args[0]); number++) {
                    try (InputStream file = new FileInputStream(args[1])) { done(ftp.storeFile(args[2] + number, file)); }
                    get(new String[] { args[2] + number, args[1] + number }, false);
                }
            }
            case "resume-get" -> { ftp.setRestartOffset(new File(args[1]).length()); get(args, true); }
            case "put" -> { try (InputStream file = new FileInputStream(args[0])) { done(ftp.storeFile(args[1], file)); } }
            case "append" -> { try (InputStream file = new FileInputStream(args[0])) { done(ftp.appendFile(args[1], file)); } }
            case "resume-put" -> {
                long size = Long.parseLong(ftp.getSize(args[1]).trim());
                try (InputStream file = new FileInputStream(args[0])) {
                    file.skipNBytes(size);
                    ftp.setRestartOffset(size);
                    done(ftp.storeFile(args[1], file));
                }
            }
            case "ascii-get" -> { done(ftp.setFileType(FTP.ASCII_FILE_TYPE)); get(args, false); }
            case "ascii-put" -> {
                done(ftp.setFileType(FTP.ASCII_FILE_TYPE));
                try (InputStream file = new FileInputStream(args[0])) { done(ftp.storeFile(args[1], file)); }
            }
            case "mkdir" -> done(ftp.makeDirectory(args[0]));
            case "rmdir" -> done(ftp.removeDirectory(args[0]));
            case "rename" -> done(ftp.rename(args[0], args[1]));
            case "delete" -> done(ftp.deleteFile(args[0]));
            case "size" -> { String size = ftp.getSize(args[0]); done(size != null); System.out.println(size); }
            case "mdtm" -> { String time = ftp.getModificationTime(args[0]); done(time != null); System.out.println(time); }
            case "unique" -> { try (InputStream file = new FileInputStream(args[0])) { done(ftp.storeUniqueFile(file)); } }
            case "abort" -> abort(args[0]);
            default -> { return UNSUPPORTED; }
        }
        return 0;
    }

    private static void status() throws IOException {
        done(FTPReply.isPositiveCompletion(ftp.getReplyCode()));
    }

    private static void get(String[] args, boolean append) throws IOException {
        try (OutputStream file = new FileOutputStream(args[1], append)) {
            done(ftp.retrieveFile(args[0], file));
        }
    }

    private static void abort(String remote) throws IOException {
        InputStream data = ftp.retrieveFileStream(remote);
        done(data != null);
        data.readNBytes(1000);
        ftp.abor();
        data.close();
        ftp.getReply();
        done(ftp.sendNoOp());
        Path local = Files.createTempFile("abort", null);
        try (OutputStream file = Files.newOutputStream(local)) {
            done(ftp.retrieveFile(remote, file));
        }
        System.out.println(Files.size(local));
        Files.delete(local);
    }
}
