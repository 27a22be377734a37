/** Many reloads leak no handle, no timer and no old version. Alone in its process. */
import test from 'ava';
import { live, receives } from './reload-kit.ts';

/** What keeps the process alive, by kind. */
function handles(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

test('300 reloads and 20 saves by rename leak no handle and no method, and each message arrives once', async (t) => {
  const source = `import './_helper.ts';\n${receives('one')}`;
  const kit = await live(t, { 'ham/spam.ts': source, 'ham/_helper.ts': '' });
  await kit.saveByRename('ham/spam.ts', source);
  await kit.changed('ham.spam', 'reloaded');
  const before = handles();
  for (let n = 0; n < 300; n++) {
    kit.deliver(n);
    await kit.host.reloadPlugin('ham.spam');
  }
  for (let n = 0; n < 20; n++) {
    await kit.saveByRename('ham/_helper.ts', `// ${n}`);
    await kit.changed('ham.spam', 'reloaded', 302 + n);
  }
  await kit.sent.until(() => true, 300);
  t.deepEqual(
    kit.sent.all.map(({ data }) => (data as unknown as [string, number])[1]),
    Array.from({ length: 300 }, (_, n) => n),
  );
  t.deepEqual(kit.registry.names(), ['ham.spam.version']);
  t.is(kit.status('ham.spam').restarts, 321);
  // chokidar's, of the files as they are now; the last one may still be about to be closed.
  while (handles().FSEventWrap !== before.FSEventWrap) await new Promise(setImmediate);
  await kit.host.stop();
  // A handle is closed in the next turn of the loop.
  while (handles().FSEventWrap !== undefined) await new Promise(setImmediate);
  t.is(handles().Timeout ?? 0, before.Timeout ?? 0);
});
