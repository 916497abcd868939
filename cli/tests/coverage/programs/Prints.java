/** The standard streams of Java, a way to use them for each first argument. */
public class Prints {
    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "streams" -> {
                System.out.println("println");
                System.out.printf("printf %d%n", 3);
                System.err.println("to err");
                System.out.write("write\n".getBytes());
                for (int i = 0; i < 60; i++) System.out.println("line " + i);
                System.out.print("no newline");
            }
            case "logging" -> java.util.logging.Logger.getLogger("x").warning("logged");
            case "thrown" -> throw new IllegalStateException("nobody catches this");
            case "threads" -> {
                Thread thread = new Thread(() -> { throw new RuntimeException("in a thread"); });
                thread.start();
                thread.join();
                new Exception("a trace").printStackTrace();
            }
            default -> throw new Error();
        }
    }
}
