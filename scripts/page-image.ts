/** Makes docs/images/page.png, the picture of the page in README: a relay with bundled plugins, in a headless Chromium. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { createRelay } from '../src/create-relay.ts';

const IMAGE = join(import.meta.dirname, '../docs/images/page.png');
const METHOD = 'example.echo.add';

const dataDir = mkdtempSync(join(tmpdir(), 'co2-page-'));
const pluginsDir = join(dataDir, 'plugins');
mkdirSync(pluginsDir);
const relay = await createRelay({ port: 0, dataDir, pluginsDir, bundled: ['example', 'chat'] });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
try {
  const page = await browser.newPage({ viewport: { width: 1000, height: 1100 } });
  await page.goto(relay.url);
  const method = page.locator(`section[id="${METHOD}"]`);
  await method.locator('summary').first().click();
  await method.locator('form button').first().click();
  await method.locator('form output pre').first().waitFor();
  await page.evaluate('document.querySelectorAll("section.card")[1].scrollIntoView()');
  await page.screenshot({ path: IMAGE });
} finally {
  await browser.close();
  await relay.stop();
  rmSync(dataDir, { recursive: true });
}
