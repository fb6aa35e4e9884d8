import java.util.ArrayList;
import java.util.List;
import org.jetbrains.kotlin.cli.common.ExitCode;
import org.jetbrains.kotlin.cli.jvm.K2JVMCompiler;

/** Compiles module after module in one Java, which is slow at the first alone. The arguments for each end with `--`. */
class Compile {
    public static void main(String[] arguments) {
        List<String> module = new ArrayList<>();
        for (String argument : arguments) {
            if (!argument.equals("--")) {
                module.add(argument);
                continue;
            }
            ExitCode code = new K2JVMCompiler().exec(System.err, module.toArray(String[]::new));
            if (code != ExitCode.OK) System.exit(code.getCode());
            module.clear();
        }
    }
}
