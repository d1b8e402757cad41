import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.pinot.spi.env.PinotConfiguration;
import org.apache.pinot.spi.services.ServiceStartable;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/** ZooKeeper and Pinot's roles in one process. Arguments: a folder with a file of settings a role, ZooKeeper's port. */
public class Pinot {
    private static final Map<String, String> ROLES = Map.of(
        "controller", "org.apache.pinot.controller.ControllerStarter",
        "broker", "org.apache.pinot.broker.broker.helix.HelixBrokerStarter",
        "server", "org.apache.pinot.server.starter.helix.HelixServerStarter");

    public static void main(String[] args) {
        try {
            Path folder = Path.of(args[0]);
            startZooKeeper(folder.resolve("zookeeper"), Integer.parseInt(args[1]));
            for (String role : List.of("controller", "broker", "server")) {
                ServiceStartable service = (ServiceStartable) Class.forName(ROLES.get(role)).getConstructor().newInstance();
                service.init(new PinotConfiguration(settings(folder.resolve(role + ".properties"))));
                service.start();
            }
            Thread.currentThread().join();
        } catch (Throwable failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void startZooKeeper(Path data, int port) throws Exception {
        Files.createDirectories(data);
        ZooKeeperServer zooKeeper = new ZooKeeperServer(data.toFile(), data.toFile(), 2000);
        ServerCnxnFactory.createFactory(new InetSocketAddress("127.0.0.1", port), 1000).startup(zooKeeper);
        // What a killed process left would be waited for until it times out.
        for (long session : List.copyOf(zooKeeper.getZKDatabase().getSessions())) {
            zooKeeper.closeSession(session);
        }
    }

    private static Map<String, Object> settings(Path file) throws Exception {
        Properties read = new Properties();
        try (var text = Files.newBufferedReader(file)) {
            read.load(text);
        }
        Map<String, Object> settings = new HashMap<>();
        read.stringPropertyNames().forEach(name -> settings.put(name, read.getProperty(name)));
        return settings;
    }
}
