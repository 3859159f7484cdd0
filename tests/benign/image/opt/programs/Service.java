/** A service that computes a little and then waits to be asked. */
public class Service {
    static long fibonacci(int n) {
        return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
    }

    public static void main(String[] arguments) throws Exception {
        var worker = new Thread(() -> System.out.println("ready " + fibonacci(30)), "worker");
        worker.start();
        worker.join();
        Thread.sleep(600_000);
    }
}
