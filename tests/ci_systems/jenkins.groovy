// Stands in for Jenkins: executes a scripted pipeline on this machine, with the steps by their interface.
//     groovy jenkins.groovy JENKINSFILE FOLDER PARAMETERS.json CREDENTIALS.json
// FOLDER gets a workspace for each node and archive/; what fails ends in exit status 1. A step or an argument that Jenkins
// does not have is an error.
import groovy.json.JsonSlurper
import java.util.concurrent.Semaphore

class Failed extends Exception {
    Failed(String what) { super(what) }
}

abstract class Pipeline extends Script {
    static final File base = new File(System.getProperty('folder'))
    static Map given, credentials
    static Map defaults = [:], stashes = [:]
    static String result = 'SUCCESS'
    static final turn = new Semaphore(1) // Jenkins too executes Groovy in one thread, and only scripts side by side
    static ThreadLocal<Map> here = ThreadLocal.withInitial { [env: [:], folder: null] }

    static void named(Map got, List needed, List possible = []) {
        assert got.keySet().containsAll(needed) && (needed + possible).containsAll(got.keySet()), "arguments: ${got.keySet()}"
    }

    def within(Map change, Closure body) {
        def before = here.get()
        here.set(before + change)
        try { body() } finally { here.set(before) }
    }

    File workspace() {
        assert here.get().folder, 'outside of a node'
        here.get().folder
    }

    def properties(List all) { assert all.every { it == 'parameters' } }
    def parameters(List all) { all.each { defaults[it.name] = it.defaultValue }; 'parameters' }
    def booleanParam(Map it) { named(it, ['name', 'defaultValue', 'description']); it }
    def string(Map it) {
        it.credentialsId ? named(it, ['credentialsId', 'variable']) : named(it, ['name', 'defaultValue', 'description'])
        it
    }
    Map getParams() { defaults + given }
    Map getCurrentBuild() { [currentResult: result] }

    def stage(String name, Closure body) { body() }
    def node(String label, Closure body) {
        def folder = new File(base, "nodes/${label}-${UUID.randomUUID()}")
        folder.mkdirs()
        new File(base, 'labels') << "$label\n"
        within(folder: folder, body)
    }
    def aside(Closure wait) {
        turn.release()
        try { wait() } finally { turn.acquire() }
    }
    def parallel(Map branches) {
        def errors = []
        def outside = here.get()
        branches.collect { name, body ->
            Thread.start {
                turn.acquire()
                here.set(outside)
                try { body() } catch (Throwable error) { errors << error } finally { turn.release() }
            }
        }.each { branch -> aside { branch.join() } }
        if (errors) throw errors[0]
    }
    def catchError(Map it, Closure body) {
        named(it, ['buildResult', 'stageResult'])
        try { body() } catch (Failed error) { println error.message; result = it.buildResult }
    }
    def timeout(Map it, Closure body) { named(it, ['time', 'unit']); body() }
    def withEnv(List all, Closure body) {
        within(env: here.get().env + all.collectEntries { it.toString().split('=', 2) as List }, body)
    }
    def withCredentials(List all, Closure body) {
        within(env: here.get().env + all.collectEntries { [(it.variable): credentials[it.credentialsId]] }, body)
    }

    def sh(String script) {
        def environment = new HashMap(System.getenv()) + getParams() + here.get().env
        def builder = new ProcessBuilder('sh', '-xe', '-c', script.toString()).directory(workspace()).inheritIO()
        environment.each { builder.environment()[it.key] = it.value.toString() }
        def process = builder.start()
        if (aside { process.waitFor() }) throw new Failed('script returned exit code ' + process.exitValue())
    }
    def deleteDir() { workspace().deleteDir(); workspace().mkdirs() }
    def readJSON(Map it) { named(it, ['file']); new JsonSlurper().parse(new File(workspace(), it.file)) }
    def stash(Map it) {
        named(it, ['name', 'includes'])
        def kept = new File(base, "stashes/${it.name}")
        copy(workspace(), kept, it.includes)
        stashes[it.name] = kept
    }
    def unstash(String name) {
        if (!stashes[name]) throw new Failed("no stash $name")
        copy(stashes[name], workspace(), '**')
    }
    def archiveArtifacts(Map it) { named(it, ['artifacts']); copy(workspace(), new File(base, 'archive'), it.artifacts) }

    static void copy(File from, File to, String pattern) {
        new AntBuilder().with { project.buildListeners.each { it.messageOutputLevel = 0 }
            copy(todir: to, failonerror: true) { fileset(dir: from, includes: pattern) } }
    }
}

def (file, folder, given, credentials) = args
System.setProperty('folder', folder)
Pipeline.given = new JsonSlurper().parse(new File(given))
Pipeline.credentials = new JsonSlurper().parse(new File(credentials))
def configuration = new org.codehaus.groovy.control.CompilerConfiguration(scriptBaseClass: Pipeline.name)
Pipeline.turn.acquire()
try {
    new GroovyShell(this.class.classLoader, new Binding(), configuration).evaluate(new File(file))
} catch (Failed error) {
    println error.message
    Pipeline.result = 'FAILURE'
}
System.exit(Pipeline.result == 'SUCCESS' ? 0 : 1)
