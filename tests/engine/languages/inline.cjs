// Runs the program of a folder without Pulumi's language host for Node.js, by the Automation API: node inline.cjs OPERATION STACK
const { LocalWorkspace } = require("@pulumi/pulumi/automation");
const path = require("path");

async function main(operation, stackName) {
    const stack = await LocalWorkspace.createOrSelectStack(
        {
            stackName,
            projectName: "kubeports-typescript",
            // A program's exports are its outputs, as the language host has it.
            program: async () => ({ ...require(path.resolve("bin/index.js")) }),
        },
        { workDir: process.cwd() },
    );
    await stack[operation]({ onOutput: (text) => process.stderr.write(text) });
    const outputs = await stack.outputs();
    console.log(JSON.stringify(Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, output.value]))));
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exit(1);
});
