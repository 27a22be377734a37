/** Configures alarm.ts. `plugins: { 'greenhouse.alarm': {...} }` in config.ts would win over it. */
export default { name: 'north wing', highCelsius: 30, samples: 3 };
