// Makes a fresh checkout ready to run, and is done in a moment where it is ready already: packages, ffmpeg and Redis, build.
// Plain JavaScript for Node 18 and newer, without packages: it runs before there are any. Writes to stderr only.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { constants, hostname } from 'node:os';
import { delimiter, dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MODULES = join(ROOT, 'node_modules');
const INSTALLED = join(MODULES, '.cuepoint-setup');
const BUILT = join(ROOT, 'dist', '.cuepoint-built');
const LOCK = join(ROOT, '.setup-lock.tmp');
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** Oldest Node that all packages run on; used where the `node` package has no binary for this machine. */
const OLDEST_NODE = [22, 19];

/** Set-up cannot go on; the message says what a person can do. Status codes of sysexits(3). */
export class SetupError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Gets everything ready and returns the Node to run Cuepoint with, and an environment where `node` is that one. */
export async function setUp() {
  if (!ready()) await locked(prepare);
  const node = readStamp().node;
  const PATH = [dirname(node), join(MODULES, '.bin'), process.env.PATH ?? ''].join(delimiter);
  return { node, env: { ...process.env, PATH } };
}

function say(text) {
  process.stderr.write(`cuepoint: ${text}\n`);
}

const ready = () => packagesReady() && missingPrograms().length === 0 && buildReady();

async function prepare() {
  // Programs first: where a person has to install them, the minutes that packages take come after that.
  if (missingPrograms().length) await installPrograms();
  if (!packagesReady()) await installPackages();
  if (!buildReady()) await build();
}

// ---- packages ----------------------------------------------------------------------------------------------------

const wantedStamp = () => ({
  lock: sha256(readFileSync(join(ROOT, 'package-lock.json'))),
  // A folder shared with a container or another machine has binaries for one of them.
  platform: `${process.platform}-${process.arch}`,
});

function readStamp() {
  try {
    return JSON.parse(readFileSync(INSTALLED, 'utf8'));
  } catch {
    return {};
  }
}

function packagesReady() {
  const stamp = readStamp();
  const wanted = wantedStamp();
  return (
    stamp.lock === wanted.lock && stamp.platform === wanted.platform && existsSync(stamp.node ?? '') && packagesThere()
  );
}

const packagesOf = (lockFile) => JSON.parse(readFileSync(lockFile, 'utf8')).packages;

/** False when a package was deleted after its installation, in part or with all that is in it. */
const packagesThere = () =>
  Object.entries(packagesOf(join(ROOT, 'package-lock.json'))).every(
    ([path, { optional, peer }]) => optional || peer || existsSync(join(ROOT, path, 'package.json')),
  );

async function installPackages() {
  if (!installedByHand()) {
    say('installing packages (npm ci; a few minutes the first time)');
    const started = Date.now();
    const args = ['ci', '--include=dev', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error'];
    const preload = join(ROOT, 'bin', 'node-of-packages.cjs').replaceAll('\\', '\\\\').replaceAll('"', '\\"');
    const env = {
      ...process.env,
      PATH: outerPath(),
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --require "${preload}"`.trim(),
      // onnxruntime-node would fetch CUDA files where it finds a CUDA toolkit, and fail without that network.
      ONNXRUNTIME_NODE_INSTALL: 'skip',
    };
    const status = await run('npm', args, { env });
    if (status !== 0)
      throw new SetupError(
        `Packages could not be installed (npm's words are above). Try: npm ${args.join(' ')}`,
        status ?? 69,
      );
    say(`packages installed in ${seconds(started)}`);
  }
  writeFileSync(INSTALLED, JSON.stringify({ ...wantedStamp(), node: chooseNode() }));
}

/** True when someone ran `npm ci` or `npm install` for this very lock file: npm's own record of the folder says the same versions. */
function installedByHand() {
  try {
    const wanted = packagesOf(join(ROOT, 'package-lock.json'));
    const found = packagesOf(join(MODULES, '.package-lock.json'));
    const same = Object.entries(wanted).every(
      ([path, { integrity, optional }]) =>
        path === '' || (found[path] ? found[path].integrity === integrity : Boolean(optional)),
    );
    return same && Object.keys(found).every((path) => wanted[path]) && packagesThere();
  } catch {
    return false;
  }
}

/** Node 24 from the `node` package, else the running one when it is new enough. */
function chooseNode() {
  const version = (path) => {
    try {
      return execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8', stdio: 'pipe' }).trim();
    } catch {
      return '0.0';
    }
  };
  const own = join(MODULES, 'node', 'bin', 'node');
  if (newer(version(own), [24, 0])) return own;
  if (newer(process.versions.node, OLDEST_NODE)) return process.execPath;
  throw new SetupError(
    `Cuepoint runs on Node ${OLDEST_NODE.join('.')} or newer. This is Node ${process.versions.node}, and the npm package ` +
      '`node` brought no binary that runs on this machine (its install script may be switched off). Install Node 24: https://nodejs.org',
    69,
  );
}

const newer = (version, [major, minor]) => {
  const [m = 0, n = 0] = version.split('.').map(Number);
  return m > major || (m === major && n >= minor);
};

/** The PATH without this checkout's own node_modules, which `npm ci` is about to replace. */
const outerPath = () => {
  const entries = (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.startsWith(MODULES + sep));
  // The folder of the running Node, in case that is not on the PATH: npm lies next to it.
  if (!process.execPath.startsWith(MODULES + sep)) entries.push(dirname(process.execPath));
  return entries.join(delimiter);
};

// ---- ffmpeg and Redis --------------------------------------------------------------------------------------------

const PROGRAMS = [
  { program: 'ffmpeg', setting: 'FFMPEG_PATH', apt: 'ffmpeg', brew: 'ffmpeg' },
  { program: 'ffprobe', setting: 'FFPROBE_PATH', apt: 'ffmpeg', brew: 'ffmpeg' },
  { program: 'redis-server', setting: 'REDIS_URL', apt: 'redis-server', brew: 'redis' },
];

function onPath(program) {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/opt/homebrew/bin', '/usr/local/bin'])
    if (folder && existsSync(join(folder, program))) return true;
  return false;
}

const missingPrograms = () => PROGRAMS.filter(({ program, setting }) => !process.env[setting] && !onPath(program));

async function installPrograms() {
  const missing = missingPrograms();
  const names = missing.map(({ program }) => program).join(', ');
  const of = (manager) => [...new Set(missing.map((entry) => entry[manager]))].join(' ');
  let command;
  if (onPath('apt-get')) {
    const root = process.getuid?.() === 0;
    const sudo = root ? '' : 'sudo ';
    command = `${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${of('apt')}`;
    if (root || (onPath('sudo') && (await run('sudo', ['-n', 'true'], { quiet: true })) === 0)) {
      say(`installing ${names} (apt-get)`);
      const env = ['env', 'DEBIAN_FRONTEND=noninteractive'];
      const apt = ['apt-get', '-qq', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Dpkg::Use-Pty=0'];
      const prefix = root ? env : ['sudo', '-n', ...env];
      // A list that cannot be refreshed may still do.
      await runWords([...prefix, ...apt, 'update']);
      await runWords([...prefix, ...apt, 'install', '-y', '--no-install-recommends', ...of('apt').split(' ')]);
    }
  } else if (onPath('brew')) {
    command = `brew install ${of('brew')}`;
    say(`installing ${names} (brew)`);
    await run('brew', ['install', '--quiet', ...of('brew').split(' ')], {});
  } else if (onPath('dnf')) command = 'sudo dnf install -y ffmpeg-free valkey-compat-redis';
  else if (onPath('pacman')) command = 'sudo pacman -S --needed ffmpeg redis';
  else if (onPath('apk')) command = 'apk add ffmpeg redis';
  const left = missingPrograms();
  if (left.length)
    throw new SetupError(
      `${left.map(({ program }) => program).join(', ')} not found, and could not be installed from here. Type this, then start again:\n\n  ` +
        `${command ?? `(your system's installer) ffmpeg redis`}\n\n` +
        'Or say where they are: FFMPEG_PATH and FFPROBE_PATH name programs, REDIS_URL a server that runs already.',
      69,
    );
}

// ---- build -------------------------------------------------------------------------------------------------------

const SOURCES = ['apps/api', 'apps/worker', 'apps/cli', 'libs'];

/** All sources, by their paths in the checkout. */
function sources() {
  const walk = (folder) =>
    readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return walk(path);
      return entry.name.endsWith('.ts') ? [path] : [];
    });
  return SOURCES.filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap(walk)
    .sort();
}

/** Changes when a source is added, removed or written. Names, sizes and times: no file is read. */
function sourcesPrint() {
  const hash = createHash('sha256');
  for (const path of ['tsconfig.json', 'package.json', 'package-lock.json', ...sources()]) {
    const { size, mtimeMs } = statSync(join(ROOT, path));
    hash.update(`${path}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** False when something was deleted from dist/. */
const outputsThere = () => sources().every((path) => existsSync(join(ROOT, 'dist', path.replace(/ts$/, 'js'))));

function buildReady() {
  try {
    return readFileSync(BUILT, 'utf8') === sourcesPrint() && outputsThere();
  } catch {
    return false;
  }
}

async function build() {
  say('building');
  const started = Date.now();
  // Taken first: a source written during the build makes the next start build again.
  const print = sourcesPrint();
  // The compiler writes what changed since its last run, as it remembers it: not what was deleted since.
  if (!outputsThere()) rmSync(join(ROOT, 'dist', '.tsbuildinfo'), { force: true });
  const compiler = join(MODULES, 'typescript', 'bin', 'tsc');
  const status = await run(readStamp().node, [compiler, '-p', join(ROOT, 'tsconfig.json')], {});
  if (status !== 0) throw new SetupError('The build failed (the compiler says why above).', 70);
  writeFileSync(BUILT, print);
  say(`built in ${seconds(started)}`);
}

// ---- one at a time -----------------------------------------------------------------------------------------------

/** Runs `work` while no other set-up of this checkout does. A lock whose holder died is taken over. */
async function locked(work) {
  let told = false;
  for (;;) {
    try {
      mkdirSync(LOCK);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST')
        throw new SetupError(`Set-up writes into ${ROOT}, and that can't be done: ${error.message}`, 73);
    }
    if (takeAwayStaleLock()) continue;
    if (!told) say('another set-up of this folder is running; waiting for it');
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const holder = join(LOCK, 'holder');
  writeFileSync(holder, JSON.stringify({ pid: process.pid, host: hostname() }));
  const beat = setInterval(() => utimesSync(holder, new Date(), new Date()), 5_000);
  const release = () => rmSync(LOCK, { recursive: true, force: true });
  process.once('exit', release);
  // What is at work (npm, the compiler) must not go on where the next set-up begins.
  const stop = (signal) => {
    working?.kill(signal);
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    await work();
  } finally {
    clearInterval(beat);
    process.off('exit', release);
    for (const signal of SIGNALS) process.off(signal, stop);
    release();
  }
}

function takeAwayStaleLock() {
  const holder = readHolder(LOCK);
  if (!holder) return false;
  const dead = holder.host === hostname() ? !alive(holder.pid) : Date.now() - holder.beatAt > 60_000;
  if (!dead) return false;
  // Renamed before it is removed: of two who find it stale, one gets it.
  const aside = `${LOCK}.${process.pid}.tmp`;
  try {
    renameSync(LOCK, aside);
  } catch {
    return true;
  }
  const moved = readHolder(aside);
  if (moved && moved.pid !== holder.pid)
    renameSync(aside, LOCK); // someone took it over in between: theirs
  else rmSync(aside, { recursive: true, force: true });
  return true;
}

function readHolder(lock) {
  try {
    const path = join(lock, 'holder');
    return { ...JSON.parse(readFileSync(path, 'utf8')), beatAt: statSync(path).mtimeMs };
  } catch {
    try {
      // Made, but its holder has not written its name: given ten seconds.
      return Date.now() - statSync(lock).mtimeMs > 10_000 ? { pid: 0, host: hostname(), beatAt: 0 } : undefined;
    } catch {
      return undefined;
    }
  }
}

function alive(pid) {
  if (!pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

// ---- small things ------------------------------------------------------------------------------------------------

const runWords = ([command, ...args]) => run(command, args, {});

/** The program that `run` waits for. */
let working;

/** Runs a program with its output on stderr; undefined when it can't be started. */
function run(command, args, { env = process.env, quiet = false }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      env,
      stdio: ['ignore', quiet ? 'ignore' : 2, quiet ? 'ignore' : 2],
    });
    working = child;
    child.once('error', (error) => {
      if (!quiet) say(`${command}: ${error.message}`);
      resolve(undefined);
    });
    child.once('exit', (status, signal) => resolve(status ?? (signal ? 70 : 0)));
  });
}
const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;

/** For bin/*.mjs: set-up, then `args` under the right Node, with signals passed on and the same exit status. */
export async function setUpAndRun(args) {
  let ready;
  try {
    ready = await setUp();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exit(error.status);
  }
  const child = spawn(ready.node, args, { env: ready.env, stdio: 'inherit' });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  // npm that is killed with -9 can't pass that on; a parent that is another one now says it.
  const parent = process.ppid;
  const watch = () => process.ppid !== parent && child.kill('SIGTERM');
  if (process.env.npm_lifecycle_event) setInterval(watch, 500).unref();
  child.once('error', (error) => {
    say(error.message);
    process.exit(70);
  });
  child.once('exit', (status, signal) => {
    if (!signal) process.exit(status ?? 0);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setUpAndRun(['-e', '']);
