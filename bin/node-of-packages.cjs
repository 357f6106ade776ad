// Loaded into npm while it installs. npm leaves out optional packages (vitest's native parts, for one) whose `engines` do not fit the
// Node that npm itself runs on. Here they run on the Node that package-lock.json brings, so that is the version npm is told.
const { version } = require('../package-lock.json').packages['node_modules/node'];
Object.defineProperty(process, 'version', { value: `v${version}` });
